-- Failed jobs by time for the overview and the search. The state comes first, although it is always the same: SQLite has no statistics at
-- first, and goes by the number of columns that fit.
CREATE INDEX jobs_failed ON jobs (state, finished_at, client_id) WHERE state = 'failed';
