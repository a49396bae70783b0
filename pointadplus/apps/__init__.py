"""What people and other programs start: the command line, folders, the service, the doctor, scikit-learn's face."""
