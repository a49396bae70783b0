"""What scoring gives: `Detection`, the API of every method, calibration, regions, records, and methods by name."""
