"""HL7 v2 and CDA: hints are found wherever they stand, and every section counts."""

from l1.ground.codes import Label, RecordClass, unmask
from l2.records import identify


def cda(body: str, mark: str = "N") -> bytes:
    return (
        f"<ClinicalDocument><confidentialityCode code='x' /><confidentialityCode code=\"{mark}\"/>"
        f"<title>Visit</title>{'<text>.</text>' * 20_000}{body}</ClinicalDocument>"
    ).encode()


def section(code: str, inside: str = "") -> str:
    return f'<section><code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>{inside}</section>'


def test_sections_of_a_document_are_classes_inside() -> None:
    info = identify(cda(section("48765-2") + section("30954-2")))
    assert unmask(info.classes) == [RecordClass.OBSERVATION, RecordClass.ALLERGY, RecordClass.DOCUMENT]
    assert (info.record_class, info.label) == (RecordClass.DOCUMENT, Label.N)


def test_a_code_far_inside_raises_a_documents_label() -> None:
    hint = '<value xsi:type="CD" code="86406008" codeSystem="2.16.840.1.113883.6.96" displayName="HIV"/>'
    info = identify(cda(section("11450-4", hint)))
    assert (info.label, info.sensitivity) == (Label.R, ("HIV",))
    assert identify(cda("", mark="V")).label == Label.V


def test_a_code_in_a_message_raises_its_label() -> None:
    head = "MSH|^~\\&|A|B|C|D|202001020304||ORU^R01|1|P|2.5\rPID|1||77||Doe^Jo\r"
    assert identify(f"{head}DG1|1||F11.20^Opioid dependence^I10C|\r".encode()).sensitivity == ("OPIOIDUD",)
    assert identify(f"{head}OBX|1|CWE|7917-8^HIV 1 Ab^LN||x^y^L\r".encode()).label == Label.R
    assert identify(f"{head}OBX|1|CWE|2345-7^Glucose^LN||F11.20^not a code of ICD^L\r".encode()).label == Label.N
