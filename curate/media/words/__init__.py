"""Words and their times: subtitles, transcripts, alignment and language."""
