"""Measures how well this machine performs the work of the daemon, and judges the results.

The input is `clip.flac`, 9 s, 16 kHz mono, made for this project with `espeak-ng`: "oh good morning it is so nice to
see you" (`-v en-us+f3 -s 150 -p 60`), "no leave me alone I hate this" (`-v en-us -s 145 -p 40`), "the train to the city
leaves at seven" (`-v en-us+m3 -s 150 -p 50`), with a second of silence between them.
"""
