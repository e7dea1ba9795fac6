"""Rotation under load: keys are changed again and again while mail is sent, and an independent verifier checks each mail when it
arrives, and once more when the slowest of them would.

The world's clock runs fast: at a speed of 60 what keeps answers for five minutes keeps them for five seconds.
"""
