"""What browsers tell of the pages that only they know: the log call of single-page apps, and the script that makes it."""
