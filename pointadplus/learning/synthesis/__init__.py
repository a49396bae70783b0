"""Objects and labelled defects made in code: the auxiliary data."""
