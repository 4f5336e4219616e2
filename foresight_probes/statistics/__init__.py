"""How sure a number is: functions of scores and groups alone."""
