"""The Hugging Face Hub: dataset cards and uploads."""
