"""Playing submissions, and verifying what they say."""
