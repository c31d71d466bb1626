"""`python -m client`: the same as `interward`, for processes that start it by their own interpreter."""

from client.cli import main

if __name__ == "__main__":
    main()
