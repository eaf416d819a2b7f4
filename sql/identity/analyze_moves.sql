-- Few or many: temporary tables are counted by nobody else, and by the planner's guess of their size
-- a merge of two contacts read all messages of the channel.
ANALYZE moves, placed, doubled
