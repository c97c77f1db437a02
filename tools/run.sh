#!/bin/sh
# Cloaks one picture and reviews it: run.sh PICTURE FOLDER. GLAZE names the glaze command.
set -eu
picture=$1
folder=$2
name=$(basename -- "$picture")
stem=${name%.*}
case $picture in examples/*) style=mosaic ;; *) style=auto ;; esac # an example does not choose the artist's target
mkdir -p -- "$folder"
"$GLAZE" protect "$picture" --style "$style" -o "$folder/" --save-target "$folder/$stem-target.png"
"$GLAZE" review "$picture" "$folder/$name" --target "$folder/$stem-target.png" -o "$folder/$stem-review.png"
echo
echo "result: $folder/$name"
echo "review: $folder/$stem-review.png"
