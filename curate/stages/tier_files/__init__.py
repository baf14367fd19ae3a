"""Files of tiers for correction in ELAN or Praat: written for each item, and taken back as judgements."""
