"""Sensitivity from codes, and the label that follows: one table, so that a privacy officer can read and extend it.

A record without a hint is N (normal), as HL7's Healthcare Privacy and Security classification does by default. What a
sender has marked (`meta.security`) can raise the label; it can lower it only where no rule of ours objects.
Sources: HL7 v3-Confidentiality, v3-ActCode (information sensitivity); SNOMED CT, ICD-10-CM, LOINC, RxNorm codes.
"""

from collections.abc import Iterable

from l1.ground.codes import Label

__all__ = ["LABEL_OF", "Coding", "find_sensitivity", "label_from"]

Coding = tuple[str, str]
"""System and code, as a FHIR `Coding` has them."""

LABEL_OF: dict[str, Label] = {
    "SUD": Label.R,  # 42 CFR part 2
    "ETHUD": Label.R,
    "OPIOIDUD": Label.R,
    "HIV": Label.R,
    "STD": Label.R,
    "PSY": Label.R,
    "MH": Label.R,
    "BH": Label.R,
    "SDV": Label.R,
    "SEX": Label.R,
    "PREGNANT": Label.R,
    "GDIS": Label.R,
    "MST": Label.R,
    "VIO": Label.R,
    "SCA": Label.R,
    "TBOO": Label.V,
    "PSYTHPN": Label.V,  # 45 CFR 164.501: psychotherapy notes
}
"""The least label that each sensitivity asks for."""

_CODES: dict[str, dict[str, str]] = {
    "sct": {
        "7200002": "ETHUD",  # alcoholism
        "15167005": "ETHUD",  # alcohol abuse
        "66590003": "ETHUD",  # alcohol dependence
        "763302001": "ETHUD",  # AUDIT-C assessment
        "55680006": "SUD",  # drug overdose
        "56876005": "SUD",  # drug rehabilitation and detoxification
        "60112009": "SUD",  # drug addiction counseling
        "61480009": "SUD",  # drug detoxification
        "266707007": "SUD",  # drug addiction therapy
        "26416006": "SUD",  # drug abuse
        "191816009": "SUD",  # drug dependence
        "713106006": "SUD",  # screening for drug abuse
        "6525002": "SUD",  # dependent drug abuse
        "5602001": "OPIOIDUD",  # opioid abuse
        "75544000": "OPIOIDUD",  # opioid dependence
        "86406008": "HIV",
        "62479008": "HIV",  # AIDS
        "165816005": "HIV",  # HIV positive
        "31676001": "HIV",  # HIV antigen test
        "310861008": "STD",  # chlamydia antigen test
        "165829005": "STD",  # gonorrhea infection test
        "269828009": "STD",  # syphilis infection test
        "76272004": "STD",  # syphilis
        "15628003": "STD",  # gonorrhea
        "240589008": "STD",  # chlamydia
        "370143000": "PSY",  # major depressive disorder
        "36923009": "PSY",  # major depression, single episode
        "35489007": "PSY",  # depressive disorder
        "13746004": "PSY",  # bipolar disorder
        "58214004": "PSY",  # schizophrenia
        "47505003": "PSY",  # posttraumatic stress disorder
        "197480006": "PSY",  # anxiety disorder
        "82313006": "PSY",  # suicide attempt
        "225444004": "PSY",  # at risk for suicide
        "405783006": "PSY",  # psychological assessment
        "706893006": "SDV",  # victim of intimate partner abuse
        "866148006": "SDV",  # screening for domestic abuse
        "424393004": "VIO",  # reports of violence in the environment
        "10383002": "PREGNANT",  # counseling for termination of pregnancy
        "714812005": "PREGNANT",  # induced termination of pregnancy
        "386394001": "PREGNANT",  # pregnancy termination care
        "5880005": "PREGNANT",  # physical exam following abortion
        "417357006": "SCA",  # sickling disorder due to haemoglobin S
        "127040003": "SCA",  # sickle cell-hemoglobin SS disease
    },
    "loinc.org": {
        "75276-6": "SUD",  # treatment program, substance use
        "82667-7": "SUD",  # Drug Abuse Screening Test
        "7917-8": "HIV",  # HIV 1 antibody
        "56888-1": "HIV",  # HIV 1+2 antibody and antigen
        "20447-9": "HIV",  # HIV 1 RNA
        "44261-6": "PSY",  # PHQ-9
    },
    "rxnorm": {
        "6813": "OPIOIDUD",  # methadone
        "1819": "OPIOIDUD",  # buprenorphine
        "7243": "SUD",  # naltrexone
        "3554": "ETHUD",  # disulfiram
        "276237": "HIV",  # emtricitabine
    },
}

_ICD10: dict[str, str] = {
    "F10": "ETHUD",
    "F11": "OPIOIDUD",
    **{f"F{n}": "SUD" for n in (12, 13, 14, 15, 16, 18, 19)},  # F17 is tobacco
    **{f"F{n}": "PSY" for n in range(20, 49)},
    **{f"A{n}": "STD" for n in range(50, 65)},
    "B20": "HIV",
    "Z21": "HIV",
    "R75": "HIV",
    "T74": "SDV",
    "T76": "SDV",
    "Z72": "BH",
    "O04": "PREGNANT",
    "Z33": "PREGNANT",
    "D57": "SCA",
}


def _system_of(url: str) -> str:
    return url.rstrip("/").rsplit("/", 1)[-1].lower()


def find_sensitivity(codings: Iterable[Coding]) -> set[str]:
    """The v3-ActCode sensitivities that these codes imply or, in a security label, say outright."""
    found: set[str] = set()
    for url, code in codings:
        system = _system_of(url)
        if system.startswith(("icd-10", "urn:oid:2.16.840.1.113883.6.90")):
            said = _ICD10.get(code[:3].upper())
        elif system.endswith("v3-actcode"):
            said = code if code in LABEL_OF else None
        else:
            said = _CODES.get(system, {}).get(code)
        if said is not None:
            found.add(said)
    return found


def label_from(marks: Iterable[Coding], sensitivity: Iterable[str]) -> Label:
    """[INFO-3] The label of a resource: the highest of what its sender marked and its codes ask for; else N."""
    marked = [Label[code] for url, code in marks if _system_of(url).endswith("v3-confidentiality") and code in _NAMES]
    asked = [LABEL_OF[code] for code in sensitivity]
    return max([*marked, *asked], default=Label.N)


_NAMES = frozenset(label.name for label in Label)
