# SPDX-License-Identifier: BSD-3-Clause
# gnuplot -e "csv='DIR/bench.csv'; out='DIR'" bench.gnuplot: DIR/time.svg, DIR/bandwidth.svg
set datafile separator ','
set terminal svg size 900,600 font 'sans-serif,14' background 'white' dynamic
set logscale x 2
set logscale y
set format x '%.0s%cB'
set xlabel 'message size'
set xtics 16
set grid xtics ytics lc rgb '#dddddd'
set key outside below maxrows 3 samplen 3
set style data linespoints

of(method, column) = strcol(1) eq method ? column : NaN
methods = 'mpich-lock-put tcp-pingpong ivshmem-lock-put ivshmem-signal-sleep ivshmem-signal-spin'
title_of(i) = word('"MPICH over TCP: lock - put - unlock" \
    "TCP: message" \
    "ivshmem: lock - put - unlock" \
    "ivshmem: put with signal, asleep" \
    "ivshmem: put with signal, spinning"', i)
array colour[5] = ['#b2182b', '#ef8a62', '#2166ac', '#1b7837', '#7fbf7b']

set output out.'/time.svg'
set title 'From a rank in one guest to a rank in another: elapsed time (median)'
set ylabel 'microseconds'
plot for [i=1:5] csv using (of(word(methods, i), $2)):4 lw 2 pt 6 + i \
    lc rgb colour[i] title title_of(i)

set output out.'/bandwidth.svg'
set title 'From a rank in one guest to a rank in another: bandwidth'
set ylabel 'MB/s'
set key outside below
plot for [i=1:5] csv using (of(word(methods, i), $2)):6 lw 2 pt 6 + i \
    lc rgb colour[i] title title_of(i)
