"""What a hospital knows about a record without reading it: enough for policy and for finding it again."""

from l1.ground.codec import Shape
from l1.ground.codes import Label, RecordClass

__all__ = ["RecordInfo"]


class RecordInfo(Shape, frozen=True):
    """[INFO-2] The outside of a record. Codes are those of `l1.ground.codes`.

    `subjects` are the holder's own patient ids; a record of several patients has several, a directory none.
    """

    media_type: int
    record_class: int = RecordClass.OTHER
    classes: int = 0  # mask of every class inside
    label: int = Label.N
    sensitivity: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    from_ms: int | None = None
    until_ms: int | None = None
    resources: int = 1
    title: str = ""
    root: bytes = b""  # of an extract: the custodian's tree, that each resource in it leads to [PIECE-5]
    unproven: str = ""  # of an extract: what is wrong with its proofs

    @property
    def subject(self) -> str:
        """The one patient that the record is about, or empty."""
        return self.subjects[0] if len(self.subjects) == 1 else ""
