"""The DICOM keywords that are read of every received object (PS3.6)."""

from __future__ import annotations

IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet")
"""Which object it is, and how its texts are written."""

PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge",
           "PatientSize", "PatientWeight")
"""Whose it is; documents repeat it."""

STUDY = ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "StudyDescription", "ReferringPhysicianName",
         "TimezoneOffsetFromUTC", "RequestedProcedureDescription", "RequestedProcedureID")
"""Which study; orders are matched on it and documents repeat it."""

SERIES = ("Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime", "ProtocolName",
          "BodyPartExamined", "Laterality", "PatientPosition", "OperatorsName", "PerformedProcedureStepDescription",
          "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "RequestAttributesSequence")
"""Which series; routing and the choice of a series ask for it."""

INSTANCE = ("InstanceNumber", "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime",
            "ContentDate", "ContentTime", "ImageType", "BurnedInAnnotation", "QualityControlSubject",
            "QualityControlImage", "LossyImageCompression", "PresentationIntentType", "ConversionType")
"""Which instance of the series, made when and how."""

GEOMETRY = ("NumberOfFrames", "Rows", "Columns", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness",
            "NominalScannedPixelSpacing",
            "SpacingBetweenSlices", "ImageOrientationPatient", "ImagePositionPatient", "SliceLocation",
            "FrameOfReferenceUID", "GantryDetectorTilt", "ViewPosition", "ImageLaterality", "PatientOrientation",
            "ImagesInAcquisition")
"""Where a slice or view lies in the patient."""

PIXELS = ("PhotometricInterpretation", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation",
          "PixelPaddingValue", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
"""How samples become values; the samples themselves are never read here."""

CT = ("KVP", "ConvolutionKernel", "ContrastBolusAgent", "ScanOptions")
"""What distinguishes CT reconstructions."""

MR = ("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "MagneticFieldStrength", "ScanningSequence",
      "SequenceVariant", "SequenceName", "MRAcquisitionType", "DiffusionBValue", "EchoTrainLength")
"""What distinguishes MR sequences."""

EQUIPMENT = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "StationName",
             "InstitutionName", "InstitutionalDepartmentName")
"""Who made it, where."""

REFERENCES = ("IssuerOfAccessionNumberSequence", "SharedFunctionalGroupsSequence", "WaveformSequence")
"""Sequences that are read for a few values each, see `adapters.dicom.content.tags`."""

KEYWORDS: tuple[str, ...] = (*IDENTITY, *PATIENT, *STUDY, *SERIES, *INSTANCE, *GEOMETRY, *PIXELS, *CT, *MR, *EQUIPMENT,
                             *REFERENCES)
