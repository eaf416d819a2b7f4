TRUNCATE moves, placed, doubled, staged_people, staged_identities
