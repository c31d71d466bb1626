"""The medical vocabulary that generated patients are written with. Tables only.

Codes are SNOMED CT, LOINC, RxNorm, CVX and DICOM, as Synthea's own modules use them.
"""

from typing import NamedTuple

__all__ = [
    "ALLERGIES",
    "BLOOD_PRESSURE",
    "CITIES",
    "COURSES",
    "DIASTOLIC",
    "FAMILY_NAMES",
    "GIVEN_NAMES",
    "HBA1C",
    "HOSPITALS",
    "LABS",
    "RACES",
    "SENSITIVE",
    "SMOKING",
    "SMOKING_STATES",
    "SYSTOLIC",
    "VACCINES",
    "VITALS",
    "Code",
    "Course",
    "Imaging",
    "Measure",
]


class Code(NamedTuple):
    code: str
    display: str


class Measure(NamedTuple):
    """A numeric observation: LOINC code, unit (UCUM), mean and spread."""

    code: Code
    unit: str
    mean: float
    spread: float


class Imaging(NamedTuple):
    modality: Code
    site: Code
    sop_class: str


class Course(NamedTuple):
    """How a condition usually goes: who is seen where, what is done, given, planned. `visits` is how often."""

    condition: Code
    visit: Code
    setting: str
    visits: int
    procedures: tuple[Code, ...] = ()
    medications: tuple[Code, ...] = ()
    plan: Code | None = None
    activities: tuple[Code, ...] = ()
    imaging: Imaging | None = None


GIVEN_NAMES = {
    "female": ("Alice", "Beatriz", "Chioma", "Dagmar", "Elif", "Farah", "Greta", "Hana", "Ines", "Jun"),
    "male": ("Anton", "Bao", "Cyrus", "Diego", "Emeka", "Felix", "Goran", "Hassan", "Ivan", "Joon"),
}
FAMILY_NAMES = ("Abbott", "Bauer", "Costa", "Dubois", "Eze", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya")
"""Numbers are appended, as Synthea does, so that nobody takes a generated patient for a person."""

RACES = (Code("2106-3", "White"), Code("2054-5", "Black or African American"), Code("2028-9", "Asian"))

CITIES = (
    ("Boston", "MA", "02118"),
    ("Worcester", "MA", "01605"),
    ("Springfield", "MA", "01199"),
    ("Lowell", "MA", "01852"),
    ("Cambridge", "MA", "02139"),
)

HOSPITALS = (
    "HARBOR GENERAL HOSPITAL",
    "RIVERSIDE COUNTY HOSPITAL",
    "SAINT LUCIA MEDICAL CENTER",
    "NORTH HILL CLINIC",
    "LAKEVIEW REHABILITATION HOSPITAL",
)

VITALS = (
    Measure(Code("8302-2", "Body Height"), "cm", 170, 9),
    Measure(Code("29463-7", "Body Weight"), "kg", 78, 14),
    Measure(Code("39156-5", "Body Mass Index"), "kg/m2", 26.5, 4),
    Measure(Code("8867-4", "Heart rate"), "/min", 74, 9),
    Measure(Code("8310-5", "Body temperature"), "Cel", 36.8, 0.4),
    Measure(Code("72514-3", "Pain severity - 0-10 verbal numeric rating [Score] - Reported"), "{score}", 2.5, 1.5),
)
SYSTOLIC = Measure(Code("8480-6", "Systolic Blood Pressure"), "mm[Hg]", 124, 12)
DIASTOLIC = Measure(Code("8462-4", "Diastolic Blood Pressure"), "mm[Hg]", 79, 8)
BLOOD_PRESSURE = Code("55284-4", "Blood Pressure")
SMOKING = Code("72166-2", "Tobacco smoking status NHIS")
SMOKING_STATES = (
    Code("266919005", "Never smoker"),
    Code("8517006", "Former smoker"),
    Code("449868002", "Current every day smoker"),
)

LABS: dict[Code, tuple[Measure, ...]] = {
    Code("58410-2", "Complete blood count (hemogram) panel - Blood by Automated count"): (
        Measure(Code("6690-2", "Leukocytes [#/volume] in Blood by Automated count"), "10*3/uL", 6.8, 1.5),
        Measure(Code("789-8", "Erythrocytes [#/volume] in Blood by Automated count"), "10*6/uL", 4.7, 0.4),
        Measure(Code("718-7", "Hemoglobin [Mass/volume] in Blood"), "g/dL", 14.1, 1.3),
        Measure(Code("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count"), "%", 42, 3.5),
        Measure(Code("787-2", "MCV [Entitic volume] by Automated count"), "fL", 89, 4),
        Measure(Code("777-3", "Platelets [#/volume] in Blood by Automated count"), "10*3/uL", 255, 50),
    ),
    Code("51990-0", "Basic Metabolic Panel"): (
        Measure(Code("2339-0", "Glucose"), "mg/dL", 96, 16),
        Measure(Code("6299-2", "Urea Nitrogen"), "mg/dL", 14, 4),
        Measure(Code("38483-4", "Creatinine"), "mg/dL", 1.0, 0.25),
        Measure(Code("49765-1", "Calcium"), "mg/dL", 9.4, 0.4),
        Measure(Code("2947-0", "Sodium"), "mmol/L", 140, 2),
        Measure(Code("6298-4", "Potassium"), "mmol/L", 4.3, 0.4),
        Measure(Code("2069-3", "Chloride"), "mmol/L", 104, 2.5),
        Measure(Code("20565-8", "Carbon Dioxide"), "mmol/L", 24, 2.2),
    ),
    Code("57698-3", "Lipid Panel"): (
        Measure(Code("2093-3", "Total Cholesterol"), "mg/dL", 188, 30),
        Measure(Code("2571-8", "Triglycerides"), "mg/dL", 132, 28),
        Measure(Code("18262-6", "Low Density Lipoprotein Cholesterol"), "mg/dL", 108, 24),
        Measure(Code("2085-9", "High Density Lipoprotein Cholesterol"), "mg/dL", 54, 10),
    ),
}
HBA1C = Measure(Code("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"), "%", 6.6, 0.9)

VACCINES = (
    Code("140", "Influenza, seasonal, injectable, preservative free"),
    Code("113", "Td (adult) preservative free"),
    Code("133", "Pneumococcal conjugate PCV 13"),
    Code("121", "zoster"),
)

ALLERGIES = (
    Code("419263009", "Allergy to tree pollen"),
    Code("419474003", "Allergy to mould"),
    Code("91934008", "Allergy to nut"),
    Code("300913006", "Shellfish allergy"),
    Code("300916003", "Latex allergy"),
)

_PROBLEM = Code("185347001", "Encounter for problem")
_SYMPTOM = Code("185345009", "Encounter for symptom")
_FOLLOW_UP = Code("390906007", "Follow-up encounter")
_EMERGENCY = Code("50849002", "Emergency Room Admission")
_INPATIENT = Code("183452005", "Encounter Inpatient")
_CHEST = Code("51185008", "Thoracic structure")
_X_RAY = Code("DX", "Digital Radiography")
_DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"

COURSES = (
    Course(
        Code("38341003", "Hypertension"),
        _FOLLOW_UP,
        "AMB",
        6,
        medications=(Code("316049", "Hydrochlorothiazide 25 MG"), Code("197361", "Amlodipine 5 MG Oral Tablet")),
        plan=Code("443402002", "Lifestyle education regarding hypertension"),
        activities=(Code("183301007", "physical exercise"), Code("183063000", "low salt diet education")),
    ),
    Course(
        Code("44054006", "Diabetes"),
        _FOLLOW_UP,
        "AMB",
        7,
        procedures=(Code("428191000124101", "Documentation of current medications"),),
        medications=(Code("860975", "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet"),),
        plan=Code("698360004", "Diabetes self management plan"),
        activities=(Code("160670007", "Diabetic diet"), Code("229065009", "Exercise therapy")),
    ),
    Course(
        Code("10509002", "Acute bronchitis (disorder)"),
        _SYMPTOM,
        "AMB",
        1,
        procedures=(Code("23426006", "Measurement of respiratory function (procedure)"),),
        medications=(Code("313782", "Acetaminophen 325 MG Oral Tablet"),),
        plan=Code("53950000", "Respiratory therapy"),
        activities=(Code("304510005", "Recommendation to avoid exercise"),),
    ),
    Course(
        Code("65966004", "Fracture of forearm"),
        _EMERGENCY,
        "EMER",
        2,
        procedures=(Code("1225002", "Upper arm X-ray"), Code("274474001", "Bone immobilization")),
        medications=(Code("310965", "Ibuprofen 200 MG Oral Tablet"),),
        plan=Code("385691007", "Fracture care"),
        activities=(Code("183051005", "Recommendation to rest"),),
        imaging=Imaging(_X_RAY, Code("40983000", "Arm"), _DX_IMAGE),
    ),
    Course(
        Code("195967001", "Asthma"),
        Code("394701000", "Asthma follow-up"),
        "AMB",
        4,
        procedures=(Code("23426006", "Measurement of respiratory function (procedure)"),),
        medications=(Code("745679", "200 ACTUAT Albuterol 0.09 MG/ACTUAT Metered Dose Inhaler"),),
        imaging=Imaging(_X_RAY, _CHEST, _DX_IMAGE),
    ),
    Course(
        Code("88805009", "Chronic congestive heart failure (disorder)"),
        _INPATIENT,
        "IMP",
        3,
        procedures=(Code("40701008", "Echocardiography (procedure)"),),
        medications=(Code("1719286", "10 ML Furosemide 10 MG/ML Injection"),),
        plan=Code("735984001", "Heart failure self management plan"),
        activities=(Code("183063000", "low salt diet education"),),
        imaging=Imaging(Code("US", "Ultrasound"), _CHEST, "1.2.840.10008.5.1.4.1.1.6.1"),
    ),
    Course(
        Code("72892002", "Normal pregnancy"),
        Code("424619006", "Prenatal visit"),
        "AMB",
        7,
        procedures=(
            Code("225158009", "Auscultation of the fetal heart"),
            Code("274804006", "Evaluation of uterine fundal height"),
        ),
        plan=Code("134435003", "Routine antenatal care"),
        activities=(Code("135892000", "Antenatal education"),),
    ),
    Course(
        Code("7200002", "Alcoholism"),
        Code("56876005", "Drug rehabilitation and detoxification"),
        "IMP",
        2,
        procedures=(Code("171208001", "Substance abuse screening"),),
        plan=Code("734163000", "Care plan (record artifact)"),
        activities=(Code("60112009", "Drug addiction counseling"), Code("61480009", "Drug detoxification")),
    ),
    Course(Code("55680006", "Drug overdose"), _EMERGENCY, "EMER", 1, medications=(Code("1191222", "Naloxone"),)),
    Course(
        Code("75498004", "Acute bacterial sinusitis (disorder)"),
        _PROBLEM,
        "AMB",
        1,
        medications=(Code("562251", "Amoxicillin 250 MG / Clavulanate 125 MG Oral Tablet"),),
    ),
)
SENSITIVE = tuple(course for course in COURSES if course.condition.code in ("7200002", "55680006"))
"""Courses that the law protects further (42 CFR part 2): natural cases for sensitivity labels."""
