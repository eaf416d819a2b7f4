-- For a statement that joins whole tables, of which the planner knows too little.
SET LOCAL enable_nestloop = off
