"""Records between a hospital and what it has besides: folders of files, FHIR servers, a person's eyes."""
