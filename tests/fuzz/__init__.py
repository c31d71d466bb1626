"""Whatever the bytes: a value, or a named fault. Seeded mutation always; atheris where it is installed."""
