echo >file
cornu shapes -o file/pictures
