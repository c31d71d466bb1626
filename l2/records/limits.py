"""Limits of records: a name, a unit and a reason each. What both floors share is in `l1.ground.limits`."""

CHUNK_BYTES = (
    64 * 1024
)  # plaintext of a chunk: small enough to resume finely, large enough that a hash per chunk is cheap
TAG_BYTES = 16  # Poly1305
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES

CONTENT_BYTES_MAX = 4 * 1024**3  # a large CT study; bounds what a body may claim to unpack to
LOOK_BYTES_MAX = 64 * 1024**2  # JSON that is looked at whole; longer JSON may be about anybody, and is treated so
LOOK_HEAD_BYTES = 16 * 1024**2  # of other text, and of DICOM: a header with the groups of all its frames
LOOK_OTHER_BYTES = 64 * 1024  # of bytes that are neither: all that tells them from text
UNPACKED_BYTES_MAX = 1024**3  # a gzip file opened at the desk
RATIO_MAX = 1024  # content bytes per ciphertext byte: a bomb costs its sender a thousandth of itself ...
SMALL_BYTES = 16 * 1024**2  # ... unless it is so small that it hurts nobody
WINDOW_LOG_MAX = 23  # zstd window of 8 MiB, what level 3 uses at most: bounds the memory of unpacking

SUBJECTS_MAX = 16_384  # patients named in one record's row; a bulk export with more is to be split by lines
NAMES_MAX = 16
TEXT_MAX = 200  # characters of a name or title that a row keeps
PIECES_MAX = 2**20  # resources of one record that can be shared one by one; the tree's leaves
HEADER_BYTES_MAX = 16 * 1024**2  # of a deflated DICOM file that is opened to be looked at
