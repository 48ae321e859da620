steps() {
  from=$1
  to=$2
  by=$3
  out=""
  while [ "$from" -le "$to" ]; do
    out="$out,$from"
    from=$((from + by))
  done
  echo "${out#,}"
}
