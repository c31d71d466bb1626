"""Floor 4: what a client may ask a hospital, and how it asks. The node serves the same shapes."""

from l2.desk.desk import TOKEN_FILE, URL_FILE, Desk
from l2.desk.problem import error_from, error_of

__all__ = ["Desk", "TOKEN_FILE", "URL_FILE", "error_from", "error_of"]
