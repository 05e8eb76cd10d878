"""What a submission is: its folder, its entry, its recorded episodes."""
