# SPDX-License-Identifier: BSD-3-Clause
"""What the man pages say, against the header, the command and the installed tree.

usage: pages.py TOP STAGE COMMAND
  calls         every function of the header is found by its name, in the installed tree
  synopsis      prototypes of the pages and of the header are the same
  errors        every errno that the header documents for a function is in its page
  references    what a page refers to exists
  names         every TMB_ name in a page is the header's or a variable's
  variables     every variable (their names: standard input) is in a page
  version       every page is of this version (standard input)
  examples DIR  extract the programs of the pages and of README.md
"""
import errno
import glob
import os
import re
import subprocess
import sys

TYPES = {'i32': 'int32_t', 'u32': 'uint32_t', 'i64': 'int64_t', 'u64': 'uint64_t',
         'f32': 'float', 'f64': 'double'}
UNBOUND = {'tmb_init', 'tmb_abort', 'tmb_version', 'tmb_strerror'}

top, stage = sys.argv[1], sys.argv[2]
header = os.path.join(top, 'core/include/tombolo.h')
problems = []


def problem(text):
    problems.append(text)


def rendered(source):
    """A page as it is shown, without the first and the last line."""
    page = subprocess.run(['mandoc', '-Tutf8', '-Owidth=200'], check=True,
                          input=source.encode(), capture_output=True)
    text = re.sub('.\b', '', page.stdout.decode())  # bold and underlined
    return '\n'.join(text.splitlines()[1:-1])


def render(path):
    return rendered(open(path).read())


def sources():
    return sorted(glob.glob(top + '/core/man/*.[1-8]') +
                  glob.glob(top + '/providers/*/man/*.[1-8]') +
                  glob.glob(top + '/adapters/*/man/*.[1-8]'))


def section(text, title):
    """The lines of a section of a rendered page."""
    lines, inside = [], False
    for line in text.splitlines():
        if re.match(r'\S', line):
            inside = line.strip() == title
        elif inside:
            lines.append(line)
    return '\n'.join(lines)


def expand(name):
    """A name, or those that it stands for if it ends in TYPE."""
    if not name.endswith('TYPE'):
        return [name]
    bitwise = re.search(r'_(and|or|xor)_TYPE$', name)
    return [name[:-4] + t for t in TYPES if not (bitwise and t[0] == 'f')]


def names_of(text):
    names = section(text, 'NAME').split(' - ')[0]
    return [n for name in re.split(r'[,\s]+', names) if name for n in expand(name)]


# ---- prototypes

def squeeze(prototype):
    return re.sub(r'\s*([^\w\s])\s*', r'\1', re.sub(r'\s+', ' ', prototype)).strip()


def header_prototypes():
    text = subprocess.run(['gcc', '-E', '-P', header], check=True, capture_output=True,
                          text=True).stdout
    text = re.sub(r'__attribute__\s*\(\(\w+(\("\w+"\))?\)\)', ' ', text)
    text = re.sub(r'static inline', ' ', text)
    found = {}
    for match in re.finditer(r'((?:const )?\w+[\s*]+)(tmb_\w+)\s*(\([^()]*\))\s*[;{]', text):
        if not match[1].startswith('return'):
            found.setdefault(match[2], squeeze(match[0][:-1]))
    return found


def page_prototypes():
    found = {}
    for path in sources():
        if not path.endswith('.3'):
            continue
        text = section(render(path), 'SYNOPSIS')
        for match in re.finditer(r'((?:const )?\w+[\s*]+)(tmb_\w+)(\([^()]*\));', text):
            for name in expand(match[2]):
                prototype = match[0][:-1].replace(match[2], name)
                if name != match[2]:
                    c_type = TYPES[name.rsplit('_', 1)[1]]
                    prototype = re.sub(r'\btype\b', c_type, prototype)
                if name in found:
                    problem(f'{name}: twice in a SYNOPSIS')
                found[name] = squeeze(prototype)
    return found


def synopsis():
    declared, described = header_prototypes(), page_prototypes()
    if len(declared) < 90:
        problem(f'only {len(declared)} functions found in the header')
    for name in sorted(declared.keys() | described.keys()):
        if declared.get(name) != described.get(name):
            problem(f'{name}: header {declared.get(name)}, page {described.get(name)}')


# ---- pages by name

def installed(name, number):
    found = glob.glob(f'{stage}/**/man{number}/{name}.{number}', recursive=True)
    return found[0] if found else None


def page_of(function):
    """The text of the page that `man 3 FUNCTION` shows."""
    path = installed(function, 3)
    if not path:
        return None
    source = open(path).read()
    match = re.fullmatch(r'\.so (man3/\S+)\n', source)
    if match:
        path = os.path.join(os.path.dirname(os.path.dirname(path)), match[1])
    return render(path) if os.path.exists(path) else None


def calls():
    for function in header_prototypes():
        text = page_of(function)
        if text is None:
            problem(f'{function}: no page is installed')
        elif function not in names_of(text):
            problem(f'{function}: not in the NAME of its page')


# ---- errors

def comments_by_function():
    """Of each function that is not inline: its own comment, and its section's."""
    text = open(header).read()
    token = re.compile(r'/\* -{5,} (?P<begin>.*?) -- \*/|(?P<own>/\*\*.*?\*/)'
                       r'|(?P<common>/\*\n.*?\*/)|TMB_API[^;]*?\b(?P<name>tmb_\w+)\('
                       r'[^;]*;|(?P<other>\btypedef [^;]*;|^#define)', re.S | re.M)
    found, own, common = {}, '', ''
    for match in token.finditer(text):
        if match['begin']:
            own = common = ''
        elif match['own']:
            own = match['own']
        elif match['common']:
            common += match['common']
        elif match['name']:
            found[match['name']] = own, common
            own = ''
        else:
            own = ''
    return found


def errnos(text):
    return set(re.findall(r'-(E[A-Z0-9]{3,})\b', text))


def results(comments, function):
    """The errnos that a function returns, as the header has them."""
    own, common = comments[function]
    found = errnos(common)
    for result in re.findall(r'@retval[^@]*', own):
        found |= errnos(result)
        for other in re.findall(r'\bas (tmb_\w+)\(\)', result):
            found |= results(comments, other)
    return found


def errors():
    comments, prototypes = comments_by_function(), header_prototypes()
    for function in comments:
        wanted = results(comments, function)
        if re.match(r'[^(]*\((struct )?tmb_(win|team)\*', prototypes[function]):
            wanted.add('EBADF')
        if function not in UNBOUND:
            wanted.add('ENOTCONN')
        text = page_of(function) or ''
        said = errnos(section(text, 'ERRORS'))
        for name in sorted(wanted - said):
            problem(f'{function}: -{name} is not in ERRORS of its page')
        for name in sorted(errnos(comments[function][0]) - errnos(text)):
            problem(f'{function}: -{name} is not in its page')
        for name in sorted(errnos(text)):
            if not hasattr(errno, name):
                problem(f'{function}: its page has -{name}, which is no errno')


# ---- references and names

def references():
    functions = header_prototypes()
    for path in sources():
        page, text = os.path.basename(path), render(path)
        code = section(text, 'EXAMPLES')
        for name, number in re.findall(r'\b([a-z][\w-]*)\(([1-8])\)', text):
            if f'{name}({number})' in code:
                continue
            if name.startswith(('tmb_', 'tombolo')) and not installed(name, number):
                problem(f'{page}: {name}({number}) is no page')
        for name in re.findall(r'\b(tmb_\w+)\(\)', text):
            if any(n not in functions for n in expand(name)):
                problem(f'{page}: {name}() is no function')
        if not section(text, 'SEE ALSO'):
            problem(f'{page}: no SEE ALSO')


def names():
    known = set(re.findall(r'\bTMB_[A-Z0-9_]+\b', open(header).read()))
    known |= set(sys.stdin.read().split())
    for path in sources():
        for name in sorted(set(re.findall(r'\bTMB_[A-Z0-9_]+\b', render(path))) - known):
            problem(f'{os.path.basename(path)}: {name} is in neither header nor variables')


def variables():
    text = '\n'.join(section(render(path), 'ENVIRONMENT') for path in sources())
    wanted = sys.stdin.read().split()
    if 'TMB_LOG' not in wanted:
        problem('TMB_LOG is not among the variables')
    for name in wanted:
        if not re.search(rf'^\s+(\w+, )*{name}\b', text, re.M):
            problem(f'{name}: no page describes it under ENVIRONMENT')


def version():
    wanted = sys.stdin.read().split()[-1]
    for path in sources():
        if not re.search(rf'^\.TH .* "Tombolo {re.escape(wanted)}" ', open(path).read(), re.M):
            problem(f'{os.path.basename(path)}: not of version {wanted}')


# ---- examples

def extract(path):
    """Its programs, as a reader copies them."""
    source = open(path).read()
    if path.endswith('.md'):
        return re.findall(r'^```c\n(.*?)^```', source, re.S | re.M)
    found = []
    for block in re.findall(r'^\.EX\n.*?^\.EE\n', source, re.S | re.M):
        text = rendered(f'.TH X 3 2000-01-01\n.SH X\n{block}')
        found.append(re.sub(r'^ {7}', '', section(text, 'X'), flags=re.M) + '\n')
    return found


def examples(directory):
    paths = [p for p in sources() if p.endswith('.3')]
    for path in paths + [top + '/core/man/tombolo.7', top + '/README.md']:
        programs = extract(path)
        if not programs:
            problem(f'{os.path.basename(path)}: no example')
        for i, program in enumerate(programs):
            name = f'{os.path.basename(path)}-{i + 1}'
            if 'int main(' not in program:
                problem(f'{name}: no whole program')
            with open(f'{directory}/{name}.c', 'w') as file:
                file.write(program)


globals()[sys.argv[3]](*sys.argv[4:])
print('\n'.join(problems))
sys.exit(bool(problems))
