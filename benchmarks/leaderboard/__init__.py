"""The leaderboard: submissions, their verification with policies in processes of their own, and the ranking."""
