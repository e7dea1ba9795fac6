"""Running a change: stages, cases, letters, the dry run, the brownout, the forecast."""
