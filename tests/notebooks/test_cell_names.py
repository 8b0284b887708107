"""What the lessons' tests know of the names in cells."""

from cell_names import CellNames, given_twice


def test_a_name_is_read_where_it_is_used_before_it_is_given():
    cell = CellNames("%matplotlib inline\nimport os\nx = y + len(os.sep)\nz = x\nq += 1")
    assert cell.read == {"y", "q"}
    assert cell.given == {"os", "x", "z", "q"}


def test_what_a_function_or_a_comprehension_calls_something_is_its_own():
    cell = CellNames("def f(a, b=c):\n    d = a\n    return d + g\nh = [i * k for i in range(3)]\nm = lambda n: n + o")
    assert cell.read == {"c", "g", "k", "o"}
    assert cell.given == {"f", "h", "m"}


def test_a_name_given_twice_counts_only_where_another_cell_reads_it():
    sources = {"first": "image = 1\nfor i in range(3): print(i)", "second": "image = 2\ni = 3", "third": "print(image)"}
    assert given_twice(sources) == {"image": ["first", "second"]}
