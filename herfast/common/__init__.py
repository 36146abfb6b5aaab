"""Code shared by the subpackages: bits, arrays, seeding, files and history."""
