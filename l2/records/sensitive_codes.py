"""Which codes hint at which sensitivity: one table of facts, for a privacy officer to read and to extend.

Sources, by letter behind each code:
  S  SHIFT Task Force, SLS ValueSets (CC BY 4.0), commit ede5208: codes that a security labeling service looks for
  Y  the modules of Synthea that the same value sets call sensitive, with the displays of its data
  I  ICD-10-CM, tabular list: chapters and categories, matched by the longest prefix
  T  the display of the code in its own system: SNOMED CT, LOINC, RxNorm
Tobacco is left out on purpose, as SAMHSA does. No code here is a clinical judgement: it says what to protect.
"""

__all__ = ["ICD10_PREFIXES", "SENSITIVE"]

SENSITIVE: dict[str, dict[str, str]] = {
    "sct": {
        # alcohol
        "7200002": "ETHUD",  # Y alcoholism
        "15167005": "ETHUD",  # T alcohol abuse
        "66590003": "ETHUD",  # T alcohol dependence
        "763302001": "ETHUD",  # Y assessment using AUDIT-C
        # opioids
        "5602001": "OPIOIDUD",  # S opioid abuse
        "75544000": "OPIOIDUD",  # T opioid dependence
        "145121000119106": "OPIOIDUD",  # S intravenous nondependent opioid abuse
        "425741009": "OPIOIDUD",  # S buprenorphine/naloxone
        # other substances, and their care
        "26416006": "SUD",  # T drug abuse
        "191816009": "SUD",  # T drug dependence
        "6525002": "SUD",  # S dependent drug abuse
        "55680006": "SUD",  # Y drug overdose
        "1149222004": "SUD",  # S overdose
        "56876005": "SUD",  # S drug rehabilitation and detoxification
        "60112009": "SUD",  # S drug addiction counseling
        "61480009": "SUD",  # S drug detoxification
        "266707007": "SUD",  # S drug addiction therapy
        "713106006": "SUD",  # Y screening for drug abuse
        "724713006": "SUD",  # S harmful use of ketamine
        # HIV
        "86406008": "HIV",  # T HIV infection
        "62479008": "HIV",  # T AIDS
        "165816005": "HIV",  # T HIV positive
        "278977008": "HIV",  # T HIV status
        "31676001": "HIV",  # Y HIV antigen test
        # sexually transmitted
        "310861008": "STD",  # Y chlamydia antigen test
        "165829005": "STD",  # Y gonorrhea infection titer test
        "269828009": "STD",  # Y syphilis infectious titer test
        "428015005": "STD",  # S chlamydia trachomatis infection of genital structure
        "240589008": "STD",  # T chlamydia trachomatis infection
        "76272004": "STD",  # T syphilis
        "15628003": "STD",  # T gonorrhea
        # mental health
        "35489007": "PSY",  # T depressive disorder
        "36923009": "PSY",  # T major depression, single episode
        "370143000": "PSY",  # T major depressive disorder
        "310496002": "PSY",  # S major depressive disorder, recurrent, moderate
        "1376001": "PSY",  # S obsessive-compulsive personality disorder
        "13746004": "PSY",  # T bipolar disorder
        "58214004": "PSY",  # T schizophrenia
        "47505003": "PSY",  # T posttraumatic stress disorder
        "197480006": "PSY",  # T anxiety disorder
        "192127007": "PSY",  # Y child attention deficit disorder
        "82313006": "PSY",  # T suicide attempt
        "86849004": "PSY",  # Y suicidal poisoning
        "287185009": "PSY",  # Y attempted suicide by cutting or stabbing
        "287182007": "PSY",  # Y attempted suicide by suffocation
        "287191006": "PSY",  # Y suicide by suffocation
        "287193009": "PSY",  # Y suicide using firearm
        "44301001": "PSY",  # Y suicide
        "225444004": "PSY",  # T at risk for suicide
        "183401008": "PSY",  # Y anti-suicide psychotherapy
        "88848003": "PSY",  # Y psychiatric follow-up
        "90407005": "PSY",  # Y evaluation of psychiatric state of patient
        "405783006": "PSY",  # Y psychological assessment
        "372767007": "BH",  # S fluoxetine
        "720433000": "BH",  # S PHQ-9
        "444175001": "PSYTHPN",  # S cognitive behavioral therapy record
        # violence and abuse
        "706893006": "SDV",  # S victim of intimate partner abuse
        "713834002": "SDV",  # S victim of child sexual exploitation
        "866148006": "SDV",  # Y screening for domestic abuse
        "424393004": "VIO",  # Y reports of violence in the environment
        # sexuality, pregnancy
        "42035005": "SEX",  # S bisexual
        "18391007": "PREGNANT",  # S elective abortion
        "10383002": "PREGNANT",  # Y counseling for termination of pregnancy
        "714812005": "PREGNANT",  # Y induced termination of pregnancy
        "386394001": "PREGNANT",  # Y pregnancy termination care
        "5880005": "PREGNANT",  # Y physical examination of mother
        # genes
        "417357006": "SCA",  # T sickling disorder due to haemoglobin S
        "127040003": "SCA",  # T sickle cell-hemoglobin SS disease
        "190905008": "GDIS",  # Y cystic fibrosis
        "230265002": "GDIS",  # Y familial Alzheimer's disease of early onset
    },
    "loinc": {
        "82667-7": "SUD",  # T total score of the Drug Abuse Screening Test
        "19359-9": "SUD",  # T cocaine [presence] in urine by screen method
        "7917-8": "HIV",  # T HIV 1 antibody
        "56888-1": "HIV",  # T HIV 1+2 antibody and HIV 1 p24 antigen
        "20447-9": "HIV",  # T HIV 1 RNA
        "80203-3": "HIV",  # S HIV 1 and 2 antibody, rapid
        "92684-0": "STD",  # S chlamydia, gonorrhoea and trichomonas DNA panel
        "44261-6": "PSY",  # T PHQ-9 total score
        "44249-1": "BH",  # S PHQ-9 panel
        "89204-2": "BH",  # S PHQ-9, modified for adolescents
        "76690-7": "SEX",  # S sexual orientation
        "48800-7": "PREGNANT",  # S second trimester quad maternal screen panel
    },
    "rxnorm": {
        "6813": "OPIOIDUD",  # T methadone
        "1819": "OPIOIDUD",  # T buprenorphine
        "352364": "OPIOIDUD",  # S buprenorphine 8 mg / naloxone 2 mg sublingual tablet
        "7243": "SUD",  # T naltrexone
        "3554": "ETHUD",  # T disulfiram
        "276237": "HIV",  # T emtricitabine
        "1747692": "HIV",  # S emtricitabine / tenofovir alafenamide (Descovy)
        "315952": "BH",  # S fluoxetine 20 mg oral capsule
        "330381": "PREGNANT",  # S mifepristone 200 mg
        "317128": "PREGNANT",  # S misoprostol 0.2 mg oral tablet
    },
}
"""System (`labels.system_of`), code, v3-ActCode sensitivity."""

ICD10_PREFIXES: dict[str, str] = {
    # I, all of it. Longest prefix wins; an empty sensitivity takes a code out of its chapter.
    "F10": "ETHUD",
    "K70": "ETHUD",  # alcoholic liver disease
    "Z7141": "ETHUD",  # alcohol abuse counseling
    "F11": "OPIOIDUD",
    "T400": "OPIOIDUD",  # poisoning by opium ...
    "T401": "OPIOIDUD",
    "T402": "OPIOIDUD",
    "T403": "OPIOIDUD",
    "T404": "OPIOIDUD",
    **{f"F{n}": "SUD" for n in (12, 13, 14, 15, 16, 18, 19)},  # F17 is tobacco
    "T405": "SUD",  # poisoning by cocaine
    "T436": "SUD",  # poisoning by psychostimulants
    "Z7151": "SUD",  # drug abuse counseling
    **{f"F{n}": "PSY" for n in range(20, 70)},
    **{f"F{n}": "DVD" for n in range(70, 90)},  # intellectual and developmental disorders
    **{f"F{n}": "PSY" for n in range(90, 100)},
    "F52": "SEX",  # sexual dysfunction
    "F64": "SEX",  # gender identity
    "R45851": "PSY",  # suicidal ideations
    "T1491": "PSY",  # suicide attempt
    **{f"X{n}": "PSY" for n in range(71, 84)},  # intentional self-harm
    "B20": "HIV",
    "B9735": "HIV",  # HIV 2
    "O987": "HIV",  # HIV complicating pregnancy
    "R75": "HIV",
    "Z114": "HIV",  # screening
    "Z206": "HIV",  # contact
    "Z21": "HIV",
    "Z717": "HIV",  # counseling
    **{f"A{n}": "STD" for n in range(50, 65)},
    "Z113": "STD",  # screening
    "Z202": "STD",  # contact
    "T74": "SDV",
    "T76": "SDV",
    "Y07": "SDV",
    "Z044": "SDV",  # examination after alleged rape
    "Z6281": "SDV",  # history of abuse in childhood
    "Z69": "SDV",
    "Z9141": "SDV",  # history of adult abuse
    "Z725": "SEX",  # high risk sexual behavior
    "Z30": "SEX",  # contraceptive management
    "O04": "PREGNANT",
    "O07": "PREGNANT",
    "Z33": "PREGNANT",
    "D57": "SCA",
    "E84": "GDIS",  # cystic fibrosis
    "G10": "GDIS",  # Huntington's disease
    "Z14": "GDIS",  # genetic carrier
    "Z15": "GDIS",  # genetic susceptibility
}
"""ICD-10 and ICD-10-CM codes without their dot, by prefix."""
