-- Loses: which media files were fetched. The files stay in the archive, and are found by content.
DROP TABLE history_sync.media;
