minutes() {
  h=${1%:*}
  m=${1#*:}
  echo $((h * 60 + m))
}
