"""What several subpackages share: bits, array containers, seeding, validation, files and the history."""
