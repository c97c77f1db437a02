#!/bin/sh
# Cloaks one picture and reviews it: run.sh PICTURE FOLDER. GLAZE names the glaze command.
set -eu
picture=$1
folder=$2
name=$(basename -- "$picture")
stem=${name%.*}
mkdir -p -- "$folder"
"$GLAZE" protect "$picture" -o "$folder/" --save-target "$folder/$stem-target.png"
"$GLAZE" review "$picture" "$folder/$name" --target "$folder/$stem-target.png" -o "$folder/$stem-review.png"
echo
echo "result: $folder/$name"
echo "review: $folder/$stem-review.png"
