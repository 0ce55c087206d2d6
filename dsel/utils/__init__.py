"""What every other package needs: errors, files, package data."""
