# Ridge regression of wine quality on alcohol alone, on standardised columns, by hand-written awk.
# Usage: awk -v alpha=ALPHA -v every=N -f ridge.awk winequality-red.csv
# Every N-th row is measured on, the others are learned from. The metrics go as JSON into the file $WINE_SWEEP_METRICS.
BEGIN { FS = ";" }
FNR > 1 && FNR % every != 0 { n++; sx += $11; sy += $12; sxx += $11 * $11; sxy += $11 * $12 }
FNR > 1 && FNR % every == 0 { m++; x[m] = $11; y[m] = $12 }
END {
    if (n == 0 || m == 0) { print "there are no rows to learn from or to measure on" > "/dev/stderr"; exit 1 }
    mean_x = sx / n; mean_y = sy / n
    slope = (sxy - n * mean_x * mean_y) / (sxx - n * mean_x * mean_x + alpha)
    for (i = 1; i <= m; i++) {
        error = mean_y + slope * (x[i] - mean_x) - y[i]
        squares += error * error; absolute += error < 0 ? -error : error
    }
    printf "{\"rmse\": %.12g, \"mae\": %.12g}\n", sqrt(squares / m), absolute / m > ENVIRON["WINE_SWEEP_METRICS"]
    printf "learned from %d rows, measured on %d: slope %.6f\n", n, m, slope
}
