month_days() {
  month=$1
  out=31
  case "$month" in
    4 | 6 | 9 | 11)
      out=30
      ;;
    2)
      out=28
      ;;
  esac
  echo "$out"
}
