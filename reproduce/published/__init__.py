"""Every number that the two papers print, one CSV file per table."""
