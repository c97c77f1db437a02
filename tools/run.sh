#!/bin/sh
# Cloaks one picture and reviews it: run.sh PICTURE FOLDER. GLAZE names the glaze command.
set -eu
picture=$1
folder=$2
name=$(basename -- "$picture")
stem=${name%.*}
case $picture in examples/*) style=mosaic ;; *) style=auto ;; esac # an example does not choose the artist's target
mkdir -p -- "$folder"
told=$("$GLAZE" protect "$picture" --style "$style" -o "$folder/" --save-target "$folder/$stem-target.png")
printf '%s\n' "$told"
first=$(printf '%s\n' "$told" | sed 1q)
result=$folder/${first##*/} # a document's ends in more than its own name
"$GLAZE" review "$picture" "$result" --target "$folder/$stem-target.png" -o "$folder/$stem-review.png"
echo
echo "result: $result"
echo "review: $folder/$stem-review.png"
