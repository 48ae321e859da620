area() {
  w=$1
  h=$2
  echo $((w * h))
}
