"""Voice activity, speech quality, speakers and who is speaking on screen."""
