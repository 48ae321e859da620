initials() {
  out=""
  for word in "$@"; do
    rest=${word#?}
    out="$out${word%"$rest"}"
  done
  echo "$out"
}
