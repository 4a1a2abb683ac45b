# SPDX-License-Identifier: BSD-3-Clause
# gnuplot -e "csv='DIR/bench.csv'; out='DIR'" bench.gnuplot: DIR/time.svg, DIR/bandwidth.svg
set datafile separator ','
set terminal svg size 900,600 font 'sans-serif,14' background 'white' dynamic
set logscale x 2
set logscale y
set format y '%g'

set xlabel 'message size'
set xtics ('4 B' 4, '16 B' 16, '64 B' 64, '256 B' 256, '1 KiB' 2**10, '4 KiB' 2**12, \
    '16 KiB' 2**14, '64 KiB' 2**16, '256 KiB' 2**18, '1 MiB' 2**20)
set grid xtics ytics lt 1 lc rgb '#cccccc'
set bmargin 8
set key at screen 0.5, 0.02 center bottom maxrows 3 samplen 3
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
plot for [i=1:5] csv using (of(word(methods, i), $2)):6 lw 2 pt 6 + i \
    lc rgb colour[i] title title_of(i)
