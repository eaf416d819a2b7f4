-- As the server has it.
SET LOCAL enable_nestloop TO DEFAULT
